// Form `baddbmm_alibi`: Bloom.
// Read as: full, bias, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,1,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,160],f32>, %arg1: !torch.vtensor<[2,63,160],f32>, %arg2: !torch.vtensor<[2,63,160],f32>, %arg3: !torch.vtensor<[8,1,63],f32>) -> !torch.vtensor<[2,63,160],f32> {
    %int2 = torch.constant.int 2
    %int63 = torch.constant.int 63
    %int4 = torch.constant.int 4
    %int40 = torch.constant.int 40
    %0 = torch.prim.ListConstruct %int2, %int63, %int4, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.view %arg0, %0 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %int1 = torch.constant.int 1
    %2 = torch.aten.transpose.int %1, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %3 = torch.aten.view %arg1, %0 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %4 = torch.aten.transpose.int %3, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %5 = torch.aten.view %arg2, %0 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %6 = torch.aten.transpose.int %5, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %int0 = torch.constant.int 0
    %7 = torch.prim.ListConstruct %int2, %int4 : (!torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.unflatten.int %arg3, %int0, %7 : !torch.vtensor<[8,1,63],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[2,4,1,63],f32>
    %9 = torch.aten.select.int %8, %int2, %int0 : !torch.vtensor<[2,4,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63],f32>
    %10 = torch.aten.unsqueeze %9, %int2 : !torch.vtensor<[2,4,63],f32>, !torch.int -> !torch.vtensor<[2,4,1,63],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %11 = torch.aten.to.dtype %10, %int6, %false, %false, %none : !torch.vtensor<[2,4,1,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,1,63],f32>
    %12:2 = torch.operator "torch.hyper.attention"(query = %2, key = %4, value = %6, bias = %11, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,1,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %13 = torch.aten.flatten.using_ints %12#0, %int0, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,40],f32>
    %14 = torch.prim.ListConstruct %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %15 = torch.aten.view %13, %14 : !torch.vtensor<[8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %16 = torch.aten.transpose.int %15, %int1, %int2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int160 = torch.constant.int 160
    %17 = torch.prim.ListConstruct %int2, %int63, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %18 = torch.aten.reshape %16, %17 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160],f32>
    return %18 : !torch.vtensor<[2,63,160],f32>
  }
}
