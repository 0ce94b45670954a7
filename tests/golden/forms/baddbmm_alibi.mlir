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
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %7 = torch.aten.arange %int4, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[4],si64>
    %int-1 = torch.constant.int -1
    %8 = torch.prim.ListConstruct %int1, %int-1, %int1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %9 = torch.aten.view %7, %8 : !torch.vtensor<[4],si64>, !torch.list<int> -> !torch.vtensor<[1,4,1,1],si64>
    %10 = torch.aten.arange %int2, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[2],si64>
    %11 = torch.prim.ListConstruct %int-1, %int1, %int1, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten.view %10, %11 : !torch.vtensor<[2],si64>, !torch.list<int> -> !torch.vtensor<[2,1,1,1],si64>
    %13 = torch.aten.mul.Scalar %12, %int4 : !torch.vtensor<[2,1,1,1],si64>, !torch.int -> !torch.vtensor<[2,1,1,1],si64>
    %14 = torch.aten.add.Tensor %9, %13, %int1 : !torch.vtensor<[1,4,1,1],si64>, !torch.vtensor<[2,1,1,1],si64>, !torch.int -> !torch.vtensor<[2,4,1,1],si64>
    %15 = torch.aten.arange %int63, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63],si64>
    %16 = torch.prim.ListConstruct %int1, %int1, %int1, %int-1 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %17 = torch.aten.view %15, %16 : !torch.vtensor<[63],si64>, !torch.list<int> -> !torch.vtensor<[1,1,1,63],si64>
    %int0 = torch.constant.int 0
    %18 = torch.aten.select.int %arg3, %int1, %int0 : !torch.vtensor<[8,1,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63],f32>
    %19 = torch.prim.ListConstruct %14, %17 : (!torch.vtensor<[2,4,1,1],si64>, !torch.vtensor<[1,1,1,63],si64>) -> !torch.list<optional<vtensor>>
    %20 = torch.aten.index.Tensor %18, %19 : !torch.vtensor<[8,63],f32>, !torch.list<optional<vtensor>> -> !torch.vtensor<[2,4,1,63],f32>
    %int6 = torch.constant.int 6
    %21 = torch.aten.to.dtype %20, %int6, %false, %false, %none : !torch.vtensor<[2,4,1,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,1,63],f32>
    %22:2 = torch.operator "torch.hyper.attention"(query = %2, key = %4, value = %6, bias = %21, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,1,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %23 = torch.aten.flatten.using_ints %22#0, %int0, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,40],f32>
    %24 = torch.prim.ListConstruct %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %25 = torch.aten.view %23, %24 : !torch.vtensor<[8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %26 = torch.aten.transpose.int %25, %int1, %int2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int160 = torch.constant.int 160
    %27 = torch.prim.ListConstruct %int2, %int63, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %28 = torch.aten.reshape %26, %27 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160],f32>
    return %28 : !torch.vtensor<[2,63,160],f32>
  }
}
