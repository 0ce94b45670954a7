// Form `sdpa_with_baddbmm`: A mask that baddbmm makes: a sum of which the product is a part.
// Read as: full, bias, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[4,63,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>, %arg3: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int0 = torch.constant.int 0
    %0 = torch.aten.select.int %arg0, %int0, %int0 : !torch.vtensor<[4,63,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[63,63,40],f32>
    %int2 = torch.constant.int 2
    %int1 = torch.constant.int 1
    %1 = torch.aten.slice.Tensor %0, %int2, %int0, %int1, %int1 : !torch.vtensor<[63,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[63,63,1],f32>
    %int63 = torch.constant.int 63
    %2 = torch.prim.ListConstruct %int63, %int63, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %3 = torch.aten.expand %1, %2, %false : !torch.vtensor<[63,63,1],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[63,63,63],f32>
    %int8 = torch.constant.int 8
    %4 = torch.aten.slice.Tensor %3, %int0, %int0, %int8, %int1 : !torch.vtensor<[63,63,63],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[8,63,63],f32>
    %5 = torch.aten.flatten.using_ints %arg1, %int0, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,40],f32>
    %6 = torch.aten.flatten.using_ints %arg2, %int0, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,40],f32>
    %7 = torch.operator "torch.aten.mT"(%6) : (!torch.vtensor<[8,63,40],f32>) -> !torch.vtensor<[8,40,63],f32> 
    %float5.000000e-01 = torch.constant.float 5.000000e-01
    %float2.500000e-01 = torch.constant.float 2.500000e-01
    %8 = torch.aten.baddbmm %4, %5, %7, %float5.000000e-01, %float2.500000e-01 : !torch.vtensor<[8,63,63],f32>, !torch.vtensor<[8,63,40],f32>, !torch.vtensor<[8,40,63],f32>, !torch.float, !torch.float -> !torch.vtensor<[8,63,63],f32>
    %int4 = torch.constant.int 4
    %9 = torch.prim.ListConstruct %int2, %int4 : (!torch.int, !torch.int) -> !torch.list<int>
    %10 = torch.aten.unflatten.int %8, %int0, %9 : !torch.vtensor<[8,63,63],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[2,4,63,63],f32>
    %int6 = torch.constant.int 6
    %none = torch.constant.none
    %11 = torch.aten.to.dtype %10, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %12:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %arg2, value = %arg3, bias = %11, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %12#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
